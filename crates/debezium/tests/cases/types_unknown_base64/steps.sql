insert into t select id+10, n, nn, ba, v1, p, sq, mo, nm, xa, da, ia, h, lsn, tq, dn, dx, b1a from t; update t set n = 'z' where id = 1;
