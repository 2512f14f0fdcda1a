insert into a values (2); insert into b values (2); insert into c values (2);
--@ drain
--@ put_config {"table.include.list": "public.a,public.b"}
insert into a values (3); insert into b values (3); insert into c values (3);
--@ drain
--@ put_config {"table.include.list": "public.b"}
insert into a values (4); insert into b values (4); insert into c values (4);
--@ drain
--@ put_config {"table.include.list": null, "table.exclude.list": "public.a"}
insert into a values (5); insert into b values (5); insert into c values (5);
--@ drain
