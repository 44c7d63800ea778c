"""American options with cash dividends by finite differences: an independent slow method.
BDF2 in time (after two implicit half steps wherever the payoff has a kink), operator splitting for
exercise (Ikonen and Toivanen 2004), cubic spline at ex-dates, Richardson in both steps."""

import numpy as np
from scipy.linalg import solve_banded
from scipy.interpolate import CubicSpline


def fd(kind, S, K, r, q, T, v, divs, nx, nt, american=True):
    # divs: list of (t,cash). backward in tau=T-t
    sd = v * np.sqrt(T)
    x0 = np.log(S)
    w = 6.5 * sd + 0.1
    tot = sum(c for _, c in divs)
    lo = np.log(max(S - tot, 0.2 * S)) - w
    hi = x0 + w
    # grid containing ln S; uniform
    h = (hi - lo) / nx
    x = x0 + h * np.round((np.linspace(lo, hi, nx + 1) - x0) / h)
    s = np.exp(x)
    pay = (np.maximum(s - K, 0) if kind else np.maximum(K - s, 0)).astype(float)
    V = pay.copy()

    # smooth payoff at kink: cell average
    def cellavg():
        a, b = x - h / 2, x + h / 2
        if kind:
            aa = np.maximum(a, np.log(K))
            bb = np.maximum(b, aa)
            return (np.exp(bb) - np.exp(aa) - K * (bb - aa)) / h
        bb = np.minimum(b, np.log(K))
        aa = np.minimum(a, bb)
        return (K * (bb - aa) - (np.exp(bb) - np.exp(aa))) / h

    near = np.abs(x - np.log(K)) < 1.01 * h
    V = np.where(near, cellavg(), V)
    times = sorted([T - t for t, _ in divs if 0 < t < T])
    cash = {T - t: c for t, c in divs}
    edges = [0.0] + times + [T]
    a = 0.5 * v * v / h**2 - (r - q - 0.5 * v * v) / (2 * h)
    c = 0.5 * v * v / h**2 + (r - q - 0.5 * v * v) / (2 * h)
    b = -v * v / h**2 - r
    n = len(x)

    def band(al):  # alpha*V - L V
        ab = np.zeros((3, n))
        ab[0, 2:] = -c
        ab[1, 1:-1] = al - b
        ab[2, :-2] = -a
        ab[1, 0] = 1
        ab[1, -1] = 1
        return ab

    lam = np.zeros(n)
    for e0, e1 in zip(edges[:-1], edges[1:]):
        m = max(8, int(np.ceil(nt * (e1 - e0) / T)))
        # quadratic time grid: small steps at the start of every period
        u = np.linspace(0, 1, m + 1) ** 2
        ts = e0 + (e1 - e0) * u
        Vp = None
        for k in range(m):
            dt = ts[k + 1] - ts[k]
            first = k < 2
            tau = ts[k + 1]

            # boundary values
            def bc(rhs):
                if kind:
                    rhs[0] = 0.0
                    # far: European forward or exercise
                    f = s[-1] - K
                    rhs[-1] = max(f if american else 0, Vfar(tau))
                else:
                    rhs[0] = K - s[0] if american else Vlow(tau)
                    rhs[-1] = 0.0
                return rhs

            def Vfar(tau):
                d = sum(cash[x_] * np.exp(-r * (tau - x_)) for x_ in cash if x_ < tau)
                return s[-1] * np.exp(-q * tau) - d - K * np.exp(-r * tau)

            def Vlow(tau):
                d = sum(cash[x_] * np.exp(-r * (tau - x_)) for x_ in cash if x_ < tau)
                return K * np.exp(-r * tau) - max(s[0] * np.exp(-q * tau) - d, 0)

            if first:
                hs = [dt]
                al = 1 / dt
                rhs = al * V + lam
                ab = band(al)
                W = solve_banded((1, 1), ab, bc(rhs.copy()))
            else:
                w1 = dt / dtp
                al = (1 + 2 * w1) / (1 + w1) / dt
                c1 = (1 + w1) / dt
                c2 = w1 * w1 / (1 + w1) / dt
                rhs = c1 * V - c2 * Vp + lam
                ab = band(al)
                W = solve_banded((1, 1), ab, bc(rhs.copy()))
            if american:
                Vn = np.maximum(W - lam / al, pay)
                lam = np.maximum(lam + al * (Vn - W), 0)
                lam[0] = lam[-1] = 0
            else:
                Vn = W
            Vp = V
            V = Vn
            dtp = dt
        if e1 < T:
            D = cash[e1]
            cs = CubicSpline(x, V)
            sx = s - D
            ok = sx > s[0]
            new = np.empty_like(V)
            new[ok] = cs(np.log(sx[ok]))
            if kind:
                new[~ok] = 0.0
            else:
                new[~ok] = (
                    (K - np.maximum(sx[~ok], 0))
                    if american
                    else (K * np.exp(-r * e1) - np.maximum(sx[~ok], 0) * np.exp(-q * e1))
                )
            if american:
                new = np.maximum(new, pay)
            V = new
            lam[:] = 0
    i = int(np.argmin(np.abs(x - x0)))
    return (
        V[i],
        (V[i + 1] - V[i - 1]) / (2 * h) / S,
        ((V[i + 1] - 2 * V[i] + V[i - 1]) / h**2 - (V[i + 1] - V[i - 1]) / (2 * h)) / S**2,
    )


def rich(kind, S, K, r, q, T, v, divs, nx=1000, nt=500, american=True):
    a = np.array(fd(kind, S, K, r, q, T, v, divs, nx, nt, american))
    b = np.array(fd(kind, S, K, r, q, T, v, divs, 2 * nx, 2 * nt, american))
    c = np.array(fd(kind, S, K, r, q, T, v, divs, 4 * nx, 4 * nt, american))
    e1 = b + (b - a) / 3
    e2 = c + (c - b) / 3
    return e2, np.abs(e2 - e1)


# The random schedules of dividend_puts_fd.csv.
def schedules():
    rng = np.random.default_rng(11)
    rows = [
        (0, 100, 100, 0.06, 0.0, 1.0, 0.3, [(0.4986301369863014, 7.0)]),
        (0, 100, 100, 0.05, 0.0, 1.0, 0.25, [(0.25, 2.0), (0.75, 2.0)]),
    ]
    U = lambda a, b: a + (b - a) * rng.random()
    while len(rows) < 90:
        T = float(np.exp(U(np.log(0.03), np.log(2.0))))
        n = int(rng.integers(1, 4))
        ts = sorted(rng.random(n) * T)
        if n > 1 and np.diff(ts).min() < 0.02:
            continue
        if ts[0] < 0.003 or T - ts[-1] < 0.003:
            continue
        ds = [(float(t), float(np.exp(U(np.log(0.1), np.log(4.0))))) for t in ts]
        rows.append(
            (
                0,
                float(U(75, 130)),
                100.0,
                float(U(0.005, 0.09)),
                0.0 if rng.random() < 0.7 else float(U(0, 0.03)),
                T,
                float(np.exp(U(np.log(0.1), np.log(0.7)))),
                ds,
            )
        )
    return rows


if __name__ == "__main__":
    for a in schedules():
        v, e = rich(*a, nx=1500, nt=700)
        print(
            ",".join(map(repr, map(float, a[1:7])))
            + ","
            + ";".join(f"{t!r}:{c!r}" for t, c in a[7])
            + ","
            + ",".join(map(repr, map(float, list(v) + list(e))))
        )
