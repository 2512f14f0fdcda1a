insert into t values (2, 'b');
--@ drain
--@ put_config {"topic.prefix": "${name}-b"}
insert into t values (3, 'c');
--@ drain
