"""Backup and recovery of the control plane: what a site needs to start again elsewhere, in one encrypted archive.

The data of the tenants is in the banks. An archive has what the banks do not have: plans, schedules, quotas, trusts and the
operation log (the database), the configuration, and the keys without which neither the database's secrets nor the banks can
be read.
"""
