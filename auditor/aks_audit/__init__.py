"""aks-audit tells security engineers the truth about their Azure Kubernetes Service clusters."""

__version__ = "0.1.0"
