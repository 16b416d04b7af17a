"""Live Azure state by Azure Resource Manager: only reads, each as on the wire, and a gap for what does not succeed."""
