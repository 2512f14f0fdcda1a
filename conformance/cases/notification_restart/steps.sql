--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_inactive
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into b values (3);
