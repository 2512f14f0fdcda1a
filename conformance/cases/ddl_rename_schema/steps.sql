insert into s.t values (2);
--@ drain 1
alter schema s rename to r;
insert into r.t values (3);
--@ drain 1
alter table r.t add a int;
insert into r.t values (4, 4);
