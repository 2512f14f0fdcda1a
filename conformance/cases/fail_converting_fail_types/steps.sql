insert into a values (1, 'NaN'), (2, 1);
insert into b values (1, '{1,NaN}'), (2, '{1}');
insert into c values (1, 'infinity'), (2, '2024-01-01');
insert into e values (1, 'NaN'), (2, 2);
insert into f values (1, '9999-12-31'), (2, '2024-01-01');
