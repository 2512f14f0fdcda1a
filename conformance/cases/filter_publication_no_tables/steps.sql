insert into t values (2); insert into u values (2);
alter publication ${name} add table t;
insert into t values (3); insert into u values (3);
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (4); insert into u values (4);
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
alter publication ${name} add table u;
insert into t values (5); insert into u values (5);
