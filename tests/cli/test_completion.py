"""The script of `limbeck completion` completes what can be typed, in a shell that sources it."""

import shlex
import subprocess
from pathlib import Path

import pytest

from limbeck.cli import main, verbs

pytest.importorskip("shtab")

ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(({count} - 1))
COMP_LINE="${{COMP_WORDS[*]}}"
COMP_POINT=${{#COMP_LINE}}
_shtab_limbeck limbeck {last} {before}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from contextlib import redirect_stdout

    path = tmp_path_factory.mktemp("completion") / "limbeck.bash"
    with path.open("w", encoding="utf-8") as file, redirect_stdout(file):
        assert main(["completion", "bash"]) == 0
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["limbeck", "eval"], {"evaluate"}),
        (["limbeck", "train", "re"], {"reid", "reid-unsupervised"}),
        (["limbeck", "data", "make", ""], {"people", "streets"}),
        (["limbeck", "train", "multiview", "--recipe.epo"], {"--recipe.epochs"}),
        (["limbeck", "evaluate", "--protoc"], {"--protocol"}),
        (["limbeck", "train", "multiview", "--recipe.objective", "mv"], {"mv2d"}),
        (["limbeck", "completion", "z"], {"zsh"}),
    ],
)
def test_bash_completes(script: Path, typed: list[str], offered: set[str]) -> None:
    ask = ASK.format(
        script=shlex.quote(str(script)),
        words=" ".join(map(shlex.quote, typed)),
        count=len(typed),
        last=shlex.quote(typed[-1]),
        before=shlex.quote(typed[-2]),
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert offered <= {word.strip() for word in done.stdout.splitlines()}, done.stderr


@pytest.mark.slow
def test_bash_completes_files(script: Path, tmp_path: Path) -> None:
    (tmp_path / "features.npz").touch()
    words = ["limbeck", "evaluate", f"{tmp_path}/fea"]
    ask = ASK.format(script=shlex.quote(str(script)), words=" ".join(words), count=3, last=words[2], before=words[1])
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{tmp_path}/features.npz"


@pytest.mark.slow
def test_the_script_is_valid_bash_and_knows_every_verb(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    text = script.read_text(encoding="utf-8")
    assert all(f"_{'_'.join(name.split())}".replace("-", "_") in text for name in verbs.known())
