create extension hstore; create domain di as int; create domain dn as name; create domain dx as text[]; 
create table t (id int primary key, n name, nn name not null, ba bytea, v1 varbit(1), p int4range[], sq int4multirange, mo money[], nm name[], xa xml[], da di[], ia interval[], h hstore, lsn pg_lsn, tq tsquery[], dn dn, dx dx, b1a bit(3)[]);
alter table t alter ba set storage external, alter h set storage external;
insert into t values (1, 'n', 'nn', repeat('x', 3000)::bytea, '1', '{"[1,2)"}', '{[1,3)}', '{1}', '{a}', array['<a/>'::xml], '{1,2}', '{1 day}', hstore(array['key01','key02','key03','key04','key05','key06','key07','key08','key09','key10','key11','key12','key13','key14','Aa','BB','日本', repeat('k',3000)], array['1','2','3','4','5','6','7','8','9','10','11','12','13','14','15','16','17','18']), '0/1', '{"a & b"}', 'dn', '{a,b}', '{101}');
insert into t(id, nn, v1) values (2, 'nn', '');
