"""`python -m limbeck`, also under torchrun."""

from limbeck.cli import main

raise SystemExit(main())
