insert into t values (2, 'b');
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (3, 'c');
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (4, 'd');
