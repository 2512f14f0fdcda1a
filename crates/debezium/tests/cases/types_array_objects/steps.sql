insert into t select id+10, t, t3, d, ts, tsz, tv, tva, pt, bx, ls, pa, po, ci, li, boxa, lia, ch, o, num, ns, pta from t;
