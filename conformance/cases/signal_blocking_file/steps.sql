--@ drain
--@ file /tmp/${name}.signals {"id": "1", "type": "execute-snapshot", "data": {"type": "blocking", "data-collections": ["public.t"]}}
--@ drain
insert into t values (3, 'c');
--@ drain
--@ file /tmp/${name}.signals {"id": "2", "type": "execute-snapshot", "data": {"type": "blocking", "data-collections": ["public.t"], "additional-conditions": [{"data-collection": "public.t", "filter": "select * from public.t where tid > 1 order by tid desc"}]}}
--@ drain
--@ file /tmp/${name}.signals {"id": "3", "type": "stop-snapshot", "data": {"type": "blocking"}}
--@ file /tmp/${name}.signals {"id": "4", "type": "pause-snapshot"}
--@ file /tmp/${name}.signals {"id": "5", "type": "resume-snapshot"}
--@ drain
delete from t where tid = 1;
