"""One file per client library; `holding` loads the one it needs.

Rule: each file imports its library inside, and no other file of this folder
unless its library stands on the other's (requests on urllib3, openai on httpx2).
"""
