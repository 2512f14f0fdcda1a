insert into a values (7, 'v7');
