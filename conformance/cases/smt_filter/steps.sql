insert into a values (2, 'y');
delete from b;
