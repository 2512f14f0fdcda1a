begin; insert into t values (2, 'b'); insert into t values (3, 'b'); commit;
--@ drain
--@ put_config {"extended.headers.enabled": "true", "provide.transaction.metadata": "true"}
begin; insert into t values (4, 'c'); update t set v = 'd' where id = 4; commit;
--@ drain
--@ put_config {"provide.transaction.metadata": "true", "skipped.operations": "u", "skip.messages.without.change": "true"}
begin; insert into t values (5, 'c'); update t set v = 'd' where id = 4; delete from t where id = 4; commit;
--@ drain
--@ put_config {"provide.transaction.metadata": "false", "skipped.operations": "t"}
update t set v = v;
update t set v = 'e' where id = 5;
--@ drain
