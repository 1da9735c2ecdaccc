"""Labs: building the students' version, and the comparisons that the labs' test cells make.

`checks` compares what a student's function returns with what it should return; `describe` and `failure` say what went
wrong; `mistakes` lists what common slips would have returned; `rules` looks for what an answer may not use; `networks`
asks a module that a student built; `release` builds `labs/release/` from `labs/source/`.
"""
