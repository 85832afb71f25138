"""Risk owns one answer, before every order: if everything open filled at its worst, would a limit break?"""
