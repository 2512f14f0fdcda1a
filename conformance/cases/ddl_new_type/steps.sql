insert into t values (2);
--@ drain 1
create type mood as enum ('sad', 'ok');
create domain short as varchar(5);
alter table t add m mood, add ms mood[], add s short;
insert into t values (3, 'ok', '{sad,ok}', 'x');
