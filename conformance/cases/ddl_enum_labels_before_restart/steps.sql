insert into t values (2, 'ok');
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (3, 'ok');
alter type mood rename value 'ok' to 'fine';
alter type mood add value 'glad';
insert into t values (4, 'fine');
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (5, 'glad');
