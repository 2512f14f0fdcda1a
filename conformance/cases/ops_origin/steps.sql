insert into a values (2, 'local');
select pg_replication_origin_session_setup('${name}');
begin;
select pg_replication_origin_xact_setup('0/16B3748', '2026-01-02 03:04:05+00');
insert into a values (3, 'replayed'), (4, 'replayed');
update a set v = 'replayed' where id = 2;
update a set id = 5 where id = 4;
delete from a where id = 1;
select pg_logical_emit_message(true, 'replayed', 'x');
commit;
begin;
select pg_replication_origin_xact_setup('FFFFFFFF/FFFFFFF0', '2026-01-02 03:04:06+00');
insert into a values (6, 'before the savepoint');
savepoint one;
insert into a values (7, 'rolled back');
rollback to one;
insert into a values (8, 'behind the savepoint');
commit;
-- Its position is told by nobody.
insert into a values (9, 'without a position');
begin;
select pg_replication_origin_xact_setup('0/16B3750', '2026-01-02 03:04:07+00');
copy a from stdin;
10	copied
11	copied
12	copied
\.
commit;
begin;
select pg_replication_origin_xact_setup('1/0', '2026-01-02 03:04:08+00');
insert into l select g, repeat('x', 1900) from generate_series(1, 60) g;
insert into a values (13, 'large');
commit;
begin;
select pg_replication_origin_xact_setup('1/8', '2026-01-02 03:04:09+00');
truncate a;
commit;
select pg_replication_origin_session_reset();
-- Between transactions, and in none.
select pg_logical_emit_message(false, 'after', 'x');
insert into a values (14, 'local');
select pg_logical_emit_message(false, 'after', 'y');
select pg_replication_origin_session_setup('${name} "é"');
insert into a values (15, 'another');
select pg_replication_origin_session_reset();
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into a values (16, 'local');
select pg_replication_origin_session_setup('${name} "é"');
begin;
select pg_replication_origin_xact_setup('1/10', '2026-01-02 03:04:10+00');
insert into a values (17, 'while stopped');
commit;
select pg_replication_origin_session_reset();
--@ rest PUT /connectors/${name}/resume
--@ wait_streaming
--@ drain
select pg_replication_origin_drop(roname) from pg_replication_origin where roname like '${name}%';
insert into a values (18, 'local');
