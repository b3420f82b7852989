# A fixed amount of ordinary interpreter work: calls, integers, lists, dictionaries, strings.
def workload():
    def fibonacci(n):
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    counts = {}
    for i in range(150000):
        key = str(i * 7919 % 1009)
        counts[key] = counts.get(key, 0) + 1
    primes = [n for n in range(2, 10000) if all(n % d for d in range(2, int(n ** 0.5) + 1))]
    return [fibonacci(22), sum(counts.values()), len(primes)]
