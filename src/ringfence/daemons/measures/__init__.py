"""What each process tells of itself on its page: one file for each, so that a daemon needs one import and one call.

Everything is read when somebody asks. What has to be counted meanwhile is counted in plain integers.
"""
