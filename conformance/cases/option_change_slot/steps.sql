insert into t values (2, 'b');
insert into t values (3, 'c');
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
insert into t values (4, 'passed over');
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
--@ drain
--@ put_config {"slot.name": "${name}_b"}
insert into t values (5, 'e');
--@ drain
