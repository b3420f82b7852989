def check(candidate):
    n_attempts, succeeded = candidate()
    assert n_attempts == 23, "not every attempt was made"
    assert not succeeded, "allowed: " + ", ".join(succeeded)
