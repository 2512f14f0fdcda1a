create table debezium_signal (id varchar(64) primary key, type varchar(32), data varchar(2048));
create table nokey (id int, v text); insert into nokey values (1, 'a');
create table two (b text, a int, v text, primary key (a, b)); insert into two select chr(96 + g % 3), g / 3, 'v' from generate_series(1, 7) g;
create table u (id uuid primary key); insert into u select ('00000000-0000-0000-0000-00000000000' || g)::uuid from generate_series(1, 4) g;
create table "Odd Name" ("the Key" int primary key, "a""b" text); insert into "Odd Name" values (1, 'x'), (2, 'y');
create table parts (id int primary key, v text) partition by range (id); create table parts_1 partition of parts for values from (0) to (10); create table parts_2 partition of parts for values from (10) to (20); insert into parts values (1, 'a'), (11, 'b');
