"""nearfar: representation learning by contrast, in every field where it works.

The two short ways in are :func:`nearfar.fit` and the ``nearfar`` command. Everything else is imported from
its room: ``nearfar.losses``, ``nearfar.parts``, ``nearfar.training``, ``nearfar.evaluation`` and one package
per field (``nearfar.vision``, ``nearfar.text``, ...).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Representation", "__version__", "fit", "load"]

if TYPE_CHECKING:
    from nearfar.estimator import Representation, fit, load


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # Loaded on first use so that `nearfar --help` and `nearfar list` never pay for importing torch.
    if name == "load":  # without scikit-learn: jsonargparse asks for this name when it looks for loaders
        from nearfar.workflow.opening import load

        return load
    if name in ("fit", "Representation"):
        from nearfar import estimator

        return getattr(estimator, name)
    import difflib
    import sys

    close = difflib.get_close_matches(name, __all__, n=1)
    hint = (
        f"; did you mean {close[0]}?"
        if close
        else f"; it has {', '.join(__all__)} and its rooms, such as nearfar.losses"
    )
    raise AttributeError(f"module 'nearfar' has no attribute {name!r}{hint}", name=name, obj=sys.modules[__name__])
