--@ rest PUT /connectors/${name}/stop
--@ wait_status STOPPED
--@ wait_inactive
begin; insert into t values (1, 'a'), (2, 'b'), (3, 'c'); update t set v = 'd' where id = 1; delete from t where id = 2; commit;
insert into t values (4, 'e');
--@ set at select lsn - '0/0' from pg_logical_slot_peek_binary_changes('${name}', null, null, 'proto_version', '1', 'publication_names', '${name}', 'messages', 'true') where get_byte(data, 0) = ascii('I') limit 1 offset 1
--@ set xid select xid from pg_logical_slot_peek_binary_changes('${name}', null, null, 'proto_version', '1', 'publication_names', '${name}', 'messages', 'true') where get_byte(data, 0) = ascii('I') limit 1 offset 1
--@ rest PATCH /connectors/${name}/offsets {"offsets": [{"partition": {"server": "${name}"}, "offset": {"lsn": ${at}, "lsn_proc": ${at}, "messageType": "INSERT", "txId": ${xid}, "ts_usec": 1700000000000000, "lsn_events_processed": 1}}]}
--@ rest GET /connectors/${name}/offsets
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (5, 'f');
--@ drain
--@ rest PUT /connectors/${name}/stop
--@ wait_status STOPPED
--@ wait_inactive
--@ rest GET /connectors/${name}/offsets
--@ rest PUT /connectors/${name}/resume
--@ wait_restreaming
insert into t values (6, 'g');
