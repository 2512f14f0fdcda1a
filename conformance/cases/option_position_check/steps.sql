insert into t values (2, 'b');
begin;
insert into t values (3, 'c');
insert into t values (4, 'd');
commit;
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (5, 'e');
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (6, 'f');
insert into t values (7, 'g');
--@ drain
