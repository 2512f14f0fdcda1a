insert into "a$b" values (2);
