-- Every user is looked at anyway.
delete from lifecycle.news
