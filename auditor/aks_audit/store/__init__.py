"""Where the runs of scheduled audits are kept: a folder, or a container of Azure Blob Storage.

`store` is the few calls that a store answers, `directory` and `blob` are the two there are, `runs` is how runs are laid
out in it and `retention` what of them ends.
"""
