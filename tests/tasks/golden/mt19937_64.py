"""The generator of C++'s std::mt19937_64 (Nishimura and Matsumoto 2004), for planted draws."""


def mt19937_64(seed):
    mask, n = 2**64 - 1, 312
    state = [seed]
    for i in range(1, n):
        state.append((6364136223846793005 * (state[-1] ^ state[-1] >> 62) + i) & mask)
    while True:
        for i in range(n):
            x = state[i] & ~0x7FFFFFFF & mask | state[(i + 1) % n] & 0x7FFFFFFF
            state[i] = state[(i + 156) % n] ^ x >> 1 ^ (0xB5026F5AA96619E9 if x & 1 else 0)
        for x in state:
            x ^= x >> 29 & 0x5555555555555555
            x ^= x << 17 & 0x71D67FFFEDA60000 & mask
            x ^= x << 37 & 0xFFF7EEE000000000 & mask
            yield x ^ x >> 43
