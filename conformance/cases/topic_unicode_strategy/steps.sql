insert into "Größe_1" values (1);
