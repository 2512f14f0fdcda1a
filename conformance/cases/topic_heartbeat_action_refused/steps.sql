insert into t values (2);
--@ drain
insert into t values (3);
--@ drain
alter table t add v text default 'x';
insert into t values (4);
