"""The fault matrix: what goes wrong x at which point of which operation x what must be true afterwards.

Operations run on the sandbox in processes of their own. ``agent`` makes such a process stop at every *point*: the border of
a task, a request that changes the cloud, a write to the bank. ``points`` has the other end, in the process of the test,
which decides whether the process continues. No point is declared anywhere: a new task or hook has its points by itself.
``kinds`` has the faults, ``matrix`` the cells, ``checks`` what must be true after each.
"""
