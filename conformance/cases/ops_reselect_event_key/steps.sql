begin;
insert into k values (1, 2, 'c', null);
update two set a = 2 where id = 2;
insert into none values (1, null);
insert into ix values (1, 2, null);
update k set x = 'k';
update two set x = 'two ' || id;
update ix set x = 'ix';
commit;
