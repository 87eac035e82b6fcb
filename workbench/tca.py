"""Transaction cost analysis: what a decision cost on its way to the books."""

from workbench.core.tca import implementation_shortfall

__all__ = ["implementation_shortfall"]
