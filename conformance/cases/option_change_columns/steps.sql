insert into t values (2, 'b', 's2');
--@ drain
--@ put_config {"column.exclude.list": null, "column.mask.with.4.chars": "public.t.secret"}
insert into t values (3, 'c', 's3');
update t set n = 8 where id = 2;
--@ drain
--@ put_config {"column.mask.with.4.chars": null, "message.key.columns": "public.t:name,n", "column.include.list": "public.t.(name|secret)"}
insert into t values (4, 'd', 's4');
update t set secret = 'x' where id = 4;
delete from t where id = 3;
--@ drain
--@ put_config {"message.key.columns": null, "column.include.list": null, "tombstones.on.delete": "false"}
delete from t where id = 2;
--@ drain
