create extension hstore;
create extension ltree;
create extension citext;
create type mood as enum ('sad', 'glad');
create domain small as int check (value < 100);
create type pair as (a int, b text);
create table t (id int primary key, i2 smallint, i4 int, i8 bigint, n numeric, n2 numeric(8,2), f4 real, f8 double precision, bo boolean,
  tx text, vc varchar(10), ch char(5), c1 "char", na name, ci citext, by bytea, js json, jb jsonb, xm xml, u uuid, da date, ti time, ti3 time(3), tz timetz,
  ts timestamp, ts3 timestamp(3), tt timestamptz, iv interval, mo money, b1 bit(1), b3 bit(3), vb varbit, ine inet, cid cidr, ma macaddr, m8 macaddr8,
  en mood, dom small, hs hstore, lt ltree, po point, oi oid, lsn pg_lsn, ir int4range, nr numrange, dr daterange, tr tsrange, tv tsvector, cp pair);
create table a (id int primary key, i4 int[], i8 bigint[], i2 smallint[], n numeric(8,2)[], f8 double precision[], bo boolean[], tx text[], u uuid[],
  da date[], ts timestamp[], tt timestamptz[], js json[], en mood[], ine inet[], by bytea[]);
