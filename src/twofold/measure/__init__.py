"""Arrays to numbers: how good is it, beside what, and how sure?"""
