"""
A table with missing views
==========================

Patients have a blood count, a questionnaire and a scan; many lack one of them. A classifier learns from whoever has
what, answers whoever has what, and says what each view is worth. The data are drawn here, so that the truth is known.
"""

# %%
# Three tables
# ------------
# One DataFrame a view, one row a patient. The outcome shows in the blood and in the scan, each with a part of its own;
# the questionnaire says nothing. A row of NaN alone says that a patient lacks the view.

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from limbeck import MultiViewClassifier
from limbeck.multiview.evaluation import format_view_contributions

rng = np.random.default_rng(0)
patients = [f"P{number:03}" for number in range(600)]
outcome = rng.choice(["recovers", "relapses"], size=600)
relapses = (outcome == "relapses")[:, None]


def table(columns: str, values: NDArray[np.floating]) -> pd.DataFrame:
    return pd.DataFrame(values, index=patients, columns=[f"{columns}_{number}" for number in range(values.shape[1])])


views = {
    "blood": table("marker", 0.8 * relapses + rng.normal(size=(600, 6))),
    "questions": table("answer", rng.normal(size=(600, 4))),
    "scan": table("region", 1.2 * relapses * rng.random((600, 8)) + rng.normal(size=(600, 8))),
}
views["scan"].loc[rng.random(600) < 0.4] = np.nan  # four in ten were not scanned
old, new = slice(0, 400), slice(400, 600)

# %%
# Fit and predict
# ---------------
# All patients are learned from: by default three networks learn from two thirds of them each, and what each says of the
# others calibrates the probabilities.

model = MultiViewClassifier(epochs=10, encoder=(64, 32), representation=16, random_state=0)
model.fit({name: view.iloc[old] for name, view in views.items()}, outcome[old])
unseen = {name: view.iloc[new] for name, view in views.items()}
accuracy = model.score(unseen, outcome[new])
print(f"accuracy on new patients: {100 * accuracy:.1f} %")

# %%
# Somebody without a scan gets a less sure answer.

scanned = views["scan"].iloc[new].notna().all(axis=1).to_numpy()
sure = model.predict_proba(unseen).max(axis=1)
print(f"mean probability of the answer: {sure[scanned].mean():.2f} with a scan, {sure[~scanned].mean():.2f} without")

# %%
# The same for a view that nobody has: leave it out.

without = {name: view for name, view in unseen.items() if name != "scan"}
print(f"accuracy without any scan: {100 * model.score(without, outcome[new]):.1f} %")

# %%
# What each view is worth
# -----------------------
# In nats of the outcome, as this model reads them, on patients that it did not learn from.

print(format_view_contributions(model.view_contributions(unseen, outcome[new])))

# %%
# A set of answers with a stated coverage
# ---------------------------------------
# Where one answer is not sure enough, `predict_set` gives both.

sets = model.predict_set(unseen, coverage=0.9, random_state=0)
print(f"one answer only for {100 * (np.asarray(sets).sum(axis=1) == 1).mean():.0f} % of the new patients")
