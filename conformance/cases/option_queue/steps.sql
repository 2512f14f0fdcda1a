insert into t select g, 'b' from generate_series(41, 60) g;
insert into u values (2);
