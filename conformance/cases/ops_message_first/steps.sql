select pg_logical_emit_message(false, 'out', 'x');
begin; insert into t values (1, 'a'); insert into t values (2, 'b'); commit;
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_status STOPPED
--@ wait_inactive
--@ rest GET /connectors/${name}/offsets
select pg_logical_emit_message(false, 'out', 'y');
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_status STOPPED
--@ rest GET /connectors/${name}/offsets
