insert into t select 2, v3, v4, v5, c10, n, nn, ts, tz, da, ti, tt, u, j, jb, by, x, e, d, d3, arr, h, ci, net, bo, b8, vb, i2, i8, f4, f8, mo, iv, r, p, na, ch from t;
