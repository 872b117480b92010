"""
Scoring and diagnosing embeddings
=================================

Somebody's network gave a vector to every picture. How well do the vectors search, under a protocol with a name? And
what do they hold: the person, the camera, both?
"""

# %%
# Embeddings
# ----------
# Twenty people in six cameras, drawn: a part of each vector is the person, a part is the camera.

import numpy as np
from matplotlib import pyplot as plt

from limbeck.information import cross_fitted_information
from limbeck.retrieval import Features, evaluate, named_protocols, top_k

rng = np.random.default_rng(0)
person, camera, _ = np.indices((20, 6, 12)).reshape(3, -1)
faces, places = rng.normal(size=(20, 16)), rng.normal(size=(6, 16))
vectors = faces[person] + 1.5 * places[camera] + 0.8 * rng.normal(size=(len(person), 16))

# %%
# A score under an exact protocol
# -------------------------------
# The rules and the draw of the gallery are part of the result. Several galleries are drawn: hence the spread.

features = Features.from_arrays(vectors, identity=person, camera=camera + 1)
for result in evaluate(features, named_protocols("sysu-all")):
    rank1, mean_ap = result.cmc(1), result.mean_average_precision
    print(
        f"{result.protocol}: rank-1 {100 * rank1.mean:.1f} ± {100 * rank1.deviation:.1f}, mAP {100 * mean_ap.mean:.1f}"
    )

# %%
# What they hold
# --------------
# Held-out probes read nats of a label from the vectors. They hold the camera as well as the person.

for name, label in (("person", person), ("camera", camera)):
    found = cross_fitted_information(vectors, label)
    print(f"{name}: {found.nats:.2f} of {np.log(len(set(label.tolist()))):.2f} nats")

# %%
# Taking the camera out
# ---------------------
# Less each camera's mean, the vectors search better.

means = np.stack([vectors[camera == one].mean(axis=0) for one in range(6)])
cleaned = vectors - means[camera]
scores = {}
for words, array in (("as they are", vectors), ("less each camera's mean", cleaned)):
    features = Features.from_arrays(array, identity=person, camera=camera + 1)
    single_shot = evaluate(features, named_protocols("sysu-all"))[0]
    scores[words] = 100 * single_shot.mean_average_precision.mean
figure, axes = plt.subplots(figsize=(5, 2.2), layout="constrained")
axes.barh(list(scores), list(scores.values()))
axes.set_xlabel("mAP, per cent (sysu-all-single)")
plt.show()

# %%
# Who is like whom
# ----------------

found_first = top_k(cleaned[:3], cleaned, k=4)
for query, positions in enumerate(found_first.positions):
    print(f"picture {query} of person {person[query]} finds people {person[positions].tolist()}")
