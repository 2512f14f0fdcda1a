insert into t values (2, 'b');
--@ drain
--@ put_config {"snapshot.mode": "no_data"}
insert into t values (3, 'c');
--@ drain
--@ put_config {"snapshot.mode": "when_needed"}
insert into t values (4, 'd');
--@ drain
--@ put_config {"snapshot.mode": "always"}
insert into t values (5, 'e');
--@ drain
--@ put_config {"snapshot.mode": "initial"}
insert into t values (6, 'f');
--@ drain
